"""TIGRE without a GPU, for checks of the step `tigre`: its own kernels and its own Python, compiled for the CPU.

    pip download --no-deps --no-binary :all: --no-build-isolation pytigre==0.1.8     # asks for nvcc: PATH=$PATH:/usr/local/cuda/bin
    python tools/tigre_on_the_cpu/build.py pytigre-0.1.8.tar.gz FOLDER
    PYTHONPATH=FOLDER python -m pytest tests/operators/test_tigre.py

`cuda_on_cpu.hpp` stands for CUDA's runtime: memory is the host's, a launch is a loop over blocks and threads, a texture is
interpolated in single precision (CUDA rounds its weights to 1/256). TIGRE's sources stay as they are but for the launches'
brackets. PyPI has version 0.1.8 alone, which no CUDA since 12 compiles and which needs Python before 3.8; what newer
versions mended in its Python is mended here (`MENDED`), and offsets come in the order of version 2.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LAUNCH = re.compile(r"(\w+(?:<\w+>)?)\s*<<\s*<(.*?)>>\s*>\s*\(", re.DOTALL)
SUM_OF_A_WARP = re.compile(r"(sdata\[tid\] \+= sdata\[tid \+ \d+\];)(?=\s+(?:sdata|\}))")
OPTIONS = "-O2 -fPIC -shared -w -std=c++17".split()
_SIDDON, _SAMPLED = "Siddon_projection", "ray_interpolated_projection"
LIBRARIES = {
    "AX": ["projection", _SIDDON, f"{_SIDDON}_parallel", _SAMPLED, f"{_SAMPLED}_parallel"],
    "ATB": ["voxel_backprojection", "voxel_backprojection2", "voxel_backprojection_parallel"],
    "MINTV": ["POCS_TV"],
    "AWMINTV": ["POCS_TV2"],
    "TVDENOISING": ["tvdenoising"],
}
MODULES = {"_Ax": "_Ax_ext", "_Atb": "_Atb_ext", "_minTV": "minTV", "_AwminTV": "AwminTV", "_tvdenoising": "tvdenoise"}
MOVING = ("offOrigin", "offDetector", "rotDetector", "DSD", "DSO")
MENDED = {
    "algorithms/*.py": [("time.clock", "time.perf_counter")],
    "algorithms/iterative_recon_alg.py": [
        *((f"if geo.{name}.shape", f"if self.geo.{name}.shape") for name in MOVING[:3]),
        *((f"self.geo.{name}[j]", f"self.geo.{name}[self.angle_index[j]]") for name in MOVING),
        ("geo.offOrin = ", "geo.offDetector = "),
    ],
    "algorithms/ista_algorithms.py": [("(1 + np.sqrt(1 + 4 * t ** 2)) / 2", "float(1 + np.sqrt(1 + 4 * t**2)) / 2")],
    "__init__.py": [("import tigre.demos", "")],
}


def translated(source: str) -> str:
    """CUDA as C++."""
    source = re.sub(r"#include <cuda\w*\.h>", "", source)
    source = source.replace("extern __shared__ volatile float sdata[];", "volatile float* sdata = shared_memory;")
    source = re.sub(r"\btexture<", "static texture<", source)
    source = SUM_OF_A_WARP.sub(r"\1 __syncthreads();", source)  # a warp goes in step, fibers do not
    source = re.sub(r"(unsigned int Np) *= *([^;]+);", r"\1 = saturated(\2);", source)
    return LAUNCH.sub(lambda found: f"launch({together(found[1])}, {found[1]}, {found[2]})(", source)


def together(kernel: str) -> str:
    """Whether the threads of a block wait for one another."""
    return "true" if kernel.startswith("reduce") else "false"


def compile_all(sources: Path, folder: Path) -> None:
    """One library for each extension module."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in (each for each in sources.iterdir() if each.suffix in (".cu", ".hpp", ".cpp")):
            name = path.name.replace(".cu", ".cpp")
            (Path(scratch) / name).write_text(translated(path.read_text(encoding="utf-8", errors="replace")))
        for name, stems in LIBRARIES.items():
            files = [str(Path(scratch) / f"{stem}.cpp") for stem in stems]
            out = ["-include", str(HERE / "cuda_on_cpu.hpp"), "-I", scratch, "-o", str(folder / f"libtigre_{name}.so")]
            subprocess.run(["g++", *OPTIONS, f"-D{name}", *out, *files, str(HERE / "entry.cpp")], check=True)


def lay_python(package: Path, folder: Path) -> None:
    """TIGRE's Python, mended, and modules in place of its extensions."""
    target = folder / "tigre"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("Source", "demos"))
    for pattern, changes in MENDED.items():
        for path in target.glob(pattern):
            text = path.read_text(encoding="utf-8")
            for old, new in changes:
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
    shutil.copy(HERE / "interface.py", folder / "tigre_interface.py")
    for module, name in MODULES.items():
        (folder / f"{module}.py").write_text(f"from tigre_interface import {name}\n")
    (target / "utilities" / "gpu.py").write_text("from tigre_interface import getGpuNames\n")


def main() -> int:
    """Build into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdist", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(options.sdist) as archive:
        archive.extractall(scratch, filter="data")
        (package,) = Path(scratch).glob("pytigre-*/tigre")
        compile_all(package / "Source", options.folder)
        lay_python(package, options.folder)
    print(f"TIGRE for the CPU: PYTHONPATH={options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
