"""Build, verify and export the container images of the stage families: `images.py build|verify|export [FAMILY ...]`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from palimpsest.arguments import Parser, filled_path, refuse  # noqa: E402
from palimpsest.errors import UserError  # noqa: E402
from palimpsest.provenance.canonical import sha256_file  # noqa: E402
from palimpsest.study.images import FAMILIES, LIST, SHOWN, Image, Images, made_of, open_images  # noqa: E402

IMAGES = ROOT / "containers/images"
INSIDE = "/opt/palimpsest"
# Four times faster than the default compression, at the same size.
PACKED = ("--mksquashfs-args", "-comp zstd -Xcompression-level 6")
# Prints the packages of the image in the format of a lock, without local versions (+cpu).
LISTING = (
    "import re, importlib.metadata as m;"
    "print(*sorted({re.sub('[-_.]+', '-', d.name).lower() + '==' + d.version.partition('+')[0] for d in m.distributions()}))"
)
# Packages of every virtual environment, and packages of torch builds for GPUs.
UNLOCKED = ("pip==", "setuptools==", "nvidia-", "cuda-", "triton==")


def main() -> None:
    """Run the action of the command line for the named families, or for all."""
    parser = Parser(prog="images.py", description="Build, verify and export the images of the stage families.")
    parser.add_argument("action", choices=("build", "verify", "export"))
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"one of {', '.join(FAMILIES)}; default: all")
    parser.add_argument(
        "--no-registry", action="store_true", help="build the base image from Debian packages (needs root and debootstrap)"
    )
    parser.add_argument(
        "--wheels", type=filled_path, help="a folder of wheels to prefer over the index, such as another build of torch"
    )
    args = parser.parse_args()
    try:
        families = args.families or list(FAMILIES)
        if unknown := set(families) - set(FAMILIES):
            raise UserError(f"unknown family: {', '.join(sorted(unknown))}; allowed: {', '.join(FAMILIES)}")
        if args.wheels and not args.wheels.is_dir():
            raise UserError(f"--wheels: {args.wheels}: there is no such folder")
        if args.no_registry and args.action != "verify" and not (IMAGES / "base.tar").exists():
            run(str(ROOT / "containers/base.sh"), str(IMAGES))
        for family in families:
            if args.action == "verify":
                verify(family)
            else:
                {"build": build, "export": export}[args.action](family, no_registry=args.no_registry, wheels=args.wheels)
    except (UserError, OSError) as error:
        sys.exit(refuse(parser.prog, error))


def build(family: str, *, no_registry: bool, wheels: Path | None) -> None:
    """Build a family's image for apptainer and add it to the list."""
    need("apptainer")
    IMAGES.mkdir(exist_ok=True)
    made = IMAGES / f"{family}.partial.sif"
    base = {"BOOTSTRAP": "localimage", "BASE": str(IMAGES / "base.sif")} if no_registry else {}
    arguments = [f"--build-arg={name}={value}" for name, value in {**base, "FAMILY": family}.items()]
    with context(family) as folder:
        binds = [f"--bind={source}:{target}:ro" for source, target in bound(wheels).items()]
        recipe = ROOT / "containers/image.def"
        run("apptainer", "build", "--fakeroot", "--force", *PACKED, *binds, *arguments, str(made), str(recipe), folder=folder)
    digest = sha256(made)
    path = made.rename(IMAGES / f"{family}-{digest[:SHOWN]}.sif")
    image = Image(path=str(path.relative_to(ROOT)), sha256=digest, made_of=made_of(ROOT, family))
    write_list(open_images(ROOT).model_copy(update={family: image}))
    verify(family)


def verify(family: str) -> None:
    """Check that a family's image has the listed digest and the locked versions; raises UserError."""
    image = getattr(open_images(ROOT), family)
    if image is None:
        raise UserError(f"{family}: containers/{LIST} lists no image; make images")
    if isinstance(image, Image) and sha256(ROOT / image.path) != image.sha256:
        raise UserError(f"{family}: {image.path} is not the file that containers/{LIST} names")
    need("apptainer")
    name = str(ROOT / image.path) if isinstance(image, Image) else image
    compare(family, ["apptainer", "exec", "--cleanenv", "--containall", name])


def export(family: str, *, no_registry: bool, wheels: Path | None) -> None:
    """Build the same image for docker and podman, as an OCI archive."""
    need("podman")
    base = []
    if no_registry:
        run("podman", "import", "--quiet", str(IMAGES / "base.tar"), "localhost/palimpsest-base")
        base = ["--build-arg=BASE=localhost/palimpsest-base"]
    tag = f"localhost/palimpsest-{family}:{made_of(ROOT, family)[:SHOWN]}"
    with context(family) as folder:
        binds = [f"--volume={source}:{target}:ro" for source, target in bound(wheels).items()]
        recipe = str(ROOT / "containers/Containerfile")
        run("podman", "build", "--file", recipe, *base, f"--build-arg=FAMILY={family}", *binds, "--tag", tag, str(folder))
    compare(family, ["podman", "run", "--rm", "--network=none", tag])
    archive = IMAGES / f"{family}.oci.tar"
    archive.unlink(missing_ok=True)
    run("podman", "save", "--quiet", "--format=oci-archive", f"--output={archive}", tag)
    print(f"{family}: {archive.relative_to(ROOT)} ({tag})")


@contextmanager
def context(family: str) -> Iterator[Path]:
    """Yield a folder with the files for a build, and with empty places for bound files that stay out of the image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(ROOT / "containers/install.sh", folder)
        shutil.copy(ROOT / f"envs/{family}.lock", folder)
        (folder / "certificates.crt").touch()
        (folder / "wheels").mkdir()
        yield folder


def bound(wheels: Path | None) -> dict[Path, str]:
    """Return the files that a build binds, and their places: the site's certificates (SSL_CERT_FILE) and wheels."""
    certificates = os.environ.get("SSL_CERT_FILE")
    places = {Path(certificates).resolve(): f"{INSIDE}/certificates.crt"} if certificates else {}
    return places | ({wheels.resolve(): f"{INSIDE}/wheels"} if wheels else {})


def compare(family: str, inside: list[str]) -> None:
    """Check that the packages in an image equal the family's lock; raises UserError with the first differences."""
    listed = subprocess.run([*inside, "python", "-c", LISTING], stdout=subprocess.PIPE, text=True, check=True).stdout
    installed = set(listed.split())
    locked = set((ROOT / f"envs/{family}.lock").read_text(encoding="utf-8").split("\n")[1:-1])
    extra = {line for line in installed - locked if not line.startswith(UNLOCKED)}
    if wrong := sorted((locked - installed) | extra):
        raise UserError(f"{family}: the image differs from envs/{family}.lock: {', '.join(wrong[:5])}")
    print(f"{family}: {len(locked)} packages as locked")


def write_list(images: Images) -> None:
    """Write the list of images below its leading comment."""
    path = ROOT / "containers" / LIST
    head = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
    path.write_text(head + yaml.safe_dump(images.model_dump(), sort_keys=False), encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the digest of a file; raises UserError if it is missing."""
    if not path.is_file():
        raise UserError(f"{path.relative_to(ROOT)} is missing; make images")
    return sha256_file(path)


def need(program: str) -> None:
    """Raise UserError if a program is not installed."""
    if not shutil.which(program):
        raise UserError(f"{program} is not installed (Debian 12: scripts/install_apptainer.sh)")


def run(*command: str, folder: Path | None = None) -> None:
    """Run a command; raises UserError if it fails, after its own output."""
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise UserError(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
