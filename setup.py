"""Builds hilum._core (C++20, pybind11) and the Cython modules; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from Cython.Build import cythonize
from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, setup

ROOT = Path(__file__).parent
REQUIRED = {"libopenjp2": "2.4", "libturbojpeg": "2.1", "libjpeg": "2.1", "libcrypto": "3.0", "zlib": "1.2"}

# Codecs that may be left out: name, macro, what the linker needs where the .pc file does not say (Debian 12's openjph).
OPTIONAL = {
    "openjph": ("HILUM_HAVE_OPENJPH", ["-lopenjph"]),
    "libjxl >= 0.7": ("HILUM_HAVE_JXL", ["-ljxl"]),
}


def optional_flags() -> tuple[list[str], list[str]]:
    """Flags for compiler and linker of the optional libraries that are here; HILUM_WITHOUT names what to leave out."""
    compile_flags: list[str] = []
    link_flags: list[str] = []
    without = os.environ.get("HILUM_WITHOUT", "").split()
    for module, (macro, libraries) in OPTIONAL.items():
        if module.split()[0] in without or subprocess.run(["pkg-config", "--exists", module], check=False).returncode:
            print(f"hilum: no {module}: built without it")
            continue
        out = subprocess.run(["pkg-config", "--cflags", module], check=True, capture_output=True, text=True)
        compile_flags += [f"-D{macro}=1", *out.stdout.split()]
        out = subprocess.run(["pkg-config", "--libs-only-L", module], check=True, capture_output=True, text=True)
        link_flags += [*out.stdout.split(), *libraries]
    return compile_flags, link_flags


def pkg_config(option: str) -> list[str]:
    """Flags of all required system libraries; one clear line when one is missing."""
    for name, version in REQUIRED.items():
        if subprocess.run(["pkg-config", f"--atleast-version={version}", name], check=False).returncode:
            raise SystemExit(f"hilum needs the development files of {name} >= {version} (run: make system-packages)")
    out = subprocess.run(["pkg-config", option, *REQUIRED], check=True, capture_output=True, text=True)
    return out.stdout.split()


def sources(*patterns: str) -> list[str]:
    """Files below the project, relative and sorted, so that builds do not depend on the directory order."""
    return sorted(str(p.relative_to(ROOT)) for pattern in patterns for p in ROOT.glob(pattern))


optional_compile, optional_link = optional_flags()
flags = [
    "-O3",
    "-g1",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    *pkg_config("--cflags"),
    *optional_compile,
]
if os.environ.get("HILUM_WERROR") == "1":
    flags.append("-Werror")

core = Pybind11Extension(
    "hilum._core",
    sources("core/src/**/*.cpp", "bindings/*.cpp"),
    include_dirs=["core/include", "bindings"],
    depends=sources("core/include/**/*.hpp", "core/src/**/*.hpp", "core/src/**/*.inc", "bindings/*.hpp"),
    extra_compile_args=flags,
    extra_link_args=[*pkg_config("--libs"), *optional_link],
    cxx_std=20,
)
cython = cythonize(
    [
        Extension(f"hilum.{Path(p).stem}", [p], extra_compile_args=["-O3", "-g1"])
        for p in sources("bindings/cython/*.pyx")
    ],
    build_dir="build/cython",
    compiler_directives={"language_level": 3, "freethreading_compatible": True, "autotestdict": False},
)

ParallelCompile("HILUM_BUILD_JOBS", default=0).install()
setup(ext_modules=[core, *cython])
