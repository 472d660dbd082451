"""The protocol's `descriptors.py`: what protoc makes of the protos beside it. Run me to write it again."""

import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).parents[2] / "src" / "tonnage" / "serving" / "protocol" / "protos"
WRITTEN = PROTOS / "descriptors.py"
NAMES = ("inference", "health")
WIDTH = 95


def generated() -> str:
    """The module's source."""
    says = "Serialised descriptors of the protos beside; `python -m tests.factories.protos` writes them."
    lines = [f'"""{says}"""']
    for name in NAMES:
        lines += ["", f"{name.upper()} = bytes.fromhex(", *_quoted(descriptor(name).hex()), ")"]
    return "\n".join(lines) + "\n"


def descriptor(name: str) -> bytes:
    """A FileDescriptorProto."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "set"
        arguments = [f"--descriptor_set_out={out}", f"--proto_path={PROTOS}", f"{name}.proto"]
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return bytes(file.SerializeToString(deterministic=True))


def _quoted(text: str) -> list[str]:
    return [f'    "{text[start : start + WIDTH]}"' for start in range(0, len(text), WIDTH)]


if __name__ == "__main__":
    WRITTEN.write_text(generated(), encoding="utf-8")
