"""Build hook: generates the protobuf code, and refuses to build a wheel without the page's assets."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "keyviz_grpc" / "proto"
PAGE_INDEX = ROOT / "gateway" / "static" / "index.html"


def _tool(name: str) -> str:
    # Beside the interpreter in a virtual environment; on PATH in the isolated environment of a PEP 517 build.
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: it comes with mypy-protobuf")
    return found


def generate_proto() -> None:
    """Writes `keyviz_grpc/proto/` anew from `protos/`; raises RuntimeError when the compiler refuses a file."""
    from grpc_tools import protoc  # noqa: PLC0415 - only the build needs it

    well_known = Path(protoc.__file__).parent / "_proto"
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir(parents=True)
    (GENERATED / "__init__.py").write_text("", encoding="utf-8")
    status = protoc.main(
        [
            "protoc",
            f"--plugin=protoc-gen-mypy={_tool('protoc-gen-mypy')}",
            f"--plugin=protoc-gen-mypy_grpc={_tool('protoc-gen-mypy_grpc')}",
            f"-I{PROTOS}",
            f"-I{well_known}",
            f"--python_out={ROOT}",
            f"--grpc_python_out={ROOT}",
            f"--mypy_out=quiet:{ROOT}",
            f"--mypy_grpc_out=quiet:{ROOT}",
            *(str(path) for path in sorted(PROTOS.rglob("*.proto"))),
        ],
    )
    if status != 0:
        raise RuntimeError(f"protoc ended with status {status}")


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs before hatchling collects files, for wheels and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del build_data
        if self.target_name != "wheel":
            return
        generate_proto()
        if version != "editable" and not PAGE_INDEX.is_file():
            raise RuntimeError(f"{PAGE_INDEX.relative_to(ROOT)} is missing: build the page first (make ui)")


if __name__ == "__main__":
    generate_proto()
