"""The stand-in for an NPU's backend: ggml-blas of the pinned source package, really compiled.

It is of the same kind (type ACCEL, takes MUL_MAT) and links to a small BLAS of ours in the place of
Rockchip's runtime. What it computes is right; how fast says nothing about an NPU.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edged.engine.ggml.sidecar import HEADERS, write_sidecar
from tools.npu_backend.build import NAME, build, compile_tree, libraries
from tools.npu_backend.package import ggml_of_package

# The variable that lets the BLAS below the stand-in go wrong.
FAULT = "EDGED_BLAS_FAULT"
SGEMM = Path(__file__).with_name("sgemm.c")
CBLAS_H = """\
enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
typedef enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 } CBLAS_TRANSPOSE;
#ifdef __cplusplus
extern "C"
#endif
void cblas_sgemm(enum CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int m, int n, int k,
                 float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc);
"""


def runtime_dir(folder: Path) -> Path:
    """Return what stands for Rockchip's runtime: a header and a library."""
    place = folder / "runtime"
    (place / "include").mkdir(parents=True, exist_ok=True)
    (place / "include/cblas.h").write_text(CBLAS_H)
    (place / "lib").mkdir(exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", "-O3", "-ffast-math", "-Wall", "-Werror"]
    command += ["-I", str(place / "include"), "-o", str(place / "lib/libedgedblas.so"), str(SGEMM)]
    subprocess.run(command, check=True)
    return place


def stand_in(folder: Path) -> Path:
    """Return the stand-in's library, built once for a test run, with its sidecar."""
    library = folder / "npu-stand-in/libggml-npu.so"
    if not library.exists():
        ggml = ggml_of_package()
        build(ggml / "src/ggml-blas", runtime_dir(folder), ggml, library.parent)
    return library


def changed_stand_in(folder: Path, name: str, old: str, new: str) -> Path:
    """Return the stand-in with one line of its source changed, built once for a test run."""
    library = folder / name / "libggml-npu.so"
    if not library.exists():
        ggml, tree = ggml_of_package(), folder / f"{name}-tree"
        shutil.copytree(ggml / "src/ggml-blas", tree)
        source = tree / "ggml-blas.cpp"
        assert source.read_text().count(old) == 1
        source.write_text(source.read_text().replace(old, new))
        build(tree, runtime_dir(folder), ggml, library.parent)
    return library


def eager_stand_in(folder: Path) -> Path:
    """Return the stand-in that takes products of any size, as an NPU does, and not of 32 rows."""
    size = "const int64_t min_batch = "
    return changed_stand_in(folder, "npu-eager", f"{size}32;", f"{size}1;")


# Where the telling stand-in writes the process that opens its device.
OPENED = "EDGED_BLAS_OPENED"
TELLS = """\
extern "C" int getpid(void);
ggml_backend_t ggml_backend_blas_init(void) {
    if (FILE * file = fopen(getenv("EDGED_BLAS_OPENED"), "a")) {
        fprintf(file, "%d\\n", getpid());
        fclose(file);
    }
"""


def telling_stand_in(folder: Path) -> Path:
    """Return the stand-in that tells when its device is opened."""
    begins = "ggml_backend_t ggml_backend_blas_init(void) {\n"
    return changed_stand_in(folder, "npu-telling", begins, TELLS)


def older_ggml(folder: Path) -> Path:
    """Return the pinned ggml as it was before two functions came into the middle of its tables."""
    old = folder / "older-ggml"
    for part in ("include", "src"):
        shutil.copytree(ggml_of_package() / part, old / part, ignore=_all_but_headers)
    header = old / "src/ggml-backend-impl.h"
    header.write_text(without_new_members(header.read_text()))
    return old


def older_tree(folder: Path) -> Path:
    """Return the stand-in's source as public trees of an NPU's backend still are."""
    tree = folder / "older-tree"
    tree.mkdir()
    text = (ggml_of_package() / "src/ggml-blas/ggml-blas.cpp").read_text()
    (tree / "ggml-blas.cpp").write_text(without_new_members(text))
    return tree


def without_new_members(text: str) -> str:
    """Return a source or header without the members `*_tensor_2d*`, which fill a line each."""
    return "".join(line for line in text.splitlines(True) if "_tensor_2d" not in line)


def _all_but_headers(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".h")]


def crashing_library(folder: Path) -> Path:
    """Return a library of the older ggml whose sidecar claims the pinned one."""
    target = folder / "crashing"
    target.mkdir()
    runtime = runtime_dir(folder)
    tree = older_tree(folder)
    compile_tree(tree, runtime, older_ggml(folder), libraries(runtime))
    beside = [Path(shutil.copy(link, target)) for link in libraries(runtime)]
    library = Path(shutil.copy(tree / NAME, target))
    write_sidecar(library, HEADERS, beside, "older")
    return library
