"""Credentials of people."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gateway.session import Role
from gateway.users import Users, Verdict
from keyviz_grpc.errors import SettingError

SECRET = "planted-secret"


def written(path: Path, *users: dict[str, object]) -> Path:
    """A users file."""
    path.write_text(json.dumps({"users": users}))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three users."""
    return written(
        tmp_path / "users.json",
        {"access_key": "looker", "secret_key": SECRET, "role": "read_only"},
        {"access_key": "boss", "secret_key": SECRET + "é", "role": "full"},
        {"access_key": "nobody", "secret_key": SECRET},
    )


@pytest.mark.parametrize(
    ("access_key", "secret_key", "verdict"),
    [
        ("looker", SECRET, Verdict(known=True, role=Role.READ_ONLY)),
        ("boss", SECRET + "é", Verdict(known=True, role=Role.FULL)),
        ("nobody", SECRET, Verdict(known=True, role=None)),
        ("nobody", "wrong", Verdict(known=False)),
        ("looker", SECRET + "é", Verdict(known=False)),
        ("stranger", SECRET, Verdict(known=False)),
        ("", "", Verdict(known=False)),
        ("\ud800", "\ud800", Verdict(known=False)),
    ],
)
def test_only_the_right_pair_is_known(file: Path, access_key: str, secret_key: str, verdict: Verdict) -> None:
    """A known key without a role is told apart only by its own secret."""
    assert Users(file).check(access_key, secret_key) == verdict


def test_a_changed_file_takes_effect(file: Path) -> None:
    """Added and removed users, without a restart."""
    users = Users(file)
    written(file, {"access_key": "new", "secret_key": SECRET, "role": "full"})
    assert users.check("new", SECRET).known
    assert not users.check("looker", SECRET).known


def test_a_bad_new_file_is_not_used(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last good one stays, and the log says why without any content."""
    users = Users(file)
    file.write_text('{"users": [{"access_key": "x", "secret_key": "' + SECRET + '", "role": "root"}]}')
    with caplog.at_level(logging.WARNING):
        assert users.check("looker", SECRET).known
    assert "role must be one of" in str(caplog.records[-1].__dict__)
    assert SECRET not in str([record.__dict__ for record in caplog.records])
    file.unlink()
    assert users.check("looker", SECRET).known


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SECRET, "is not JSON"),
        ('{"users": "' + SECRET + '"', "is not JSON"),
        ("[]", "must be"),
        ('{"users": {}}', "must be"),
        ('{"users": [1]}', "users[0] is not an object"),
        ('{"users": [{"access_key": "a"}]}', "users[0]: secret_key"),
        ('{"users": [{"access_key": "", "secret_key": "b"}]}', "users[0]: access_key"),
        ('{"users": [{"access_key": "a", "secret_key": "b", "role": "root"}]}', "users[0]: role"),
        ('{"users": [{"access_key": "a", "secret_key": "b"}, {"access_key": "a", "secret_key": "c"}]}', "users[1]"),
        (" " * (1 << 20) + "{}", "larger"),
    ],
)
def test_a_file_that_is_bad_from_the_start_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The file and the place are named, the content is not."""
    path = tmp_path / "users.json"
    path.write_text(text)
    with pytest.raises(SettingError) as refused:
        Users(path)
    assert named in str(refused.value)
    assert str(path) in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(SettingError, match="nowhere"):
        Users(tmp_path / "nowhere.json")
