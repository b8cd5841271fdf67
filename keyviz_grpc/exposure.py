"""Addresses that others can reach want TLS and credentials."""

from __future__ import annotations

import ipaddress
import logging

from keyviz_grpc.errors import SettingError

log = logging.getLogger(__name__)


def check_exposure(listen: str, *, tls: bool, guarded: bool, insecure: bool, allow: str = "--insecure") -> None:
    """Refuses an address that others can reach without TLS and credentials; with `insecure` it only warns.

    Raises SettingError naming the address and what to do, allow: what allows it.
    """
    if is_loopback(listen):
        return
    missing = [name for name, there in (("TLS", tls), ("credentials", guarded)) if not there]
    if not missing:
        return
    if not insecure:
        raise SettingError(
            f"listening on {listen} without {' and '.join(missing)}: configure them, use 127.0.0.1, or {allow}"
        )
    log.warning("listening without protection", extra={"address": listen, "missing": ", ".join(missing)})


def check_metrics_exposure(address: str, *, exposed: bool, insecure: bool) -> None:
    """The same for a listener that shows metrics, which has neither TLS nor credentials. exposed: that is wanted."""
    check_exposure(address, tls=False, guarded=False, insecure=insecure or exposed, allow="--expose-metrics")


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT names this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
