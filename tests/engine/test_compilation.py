import pytest

from ctcd.engine import compilation


@pytest.mark.parametrize(
    ("has_triton", "compilers", "expected"),
    [
        (True, {"gcc"}, True),
        (True, {"clang"}, True),
        (True, {"my-compiler"}, True),
        (True, set(), False),
        (False, {"gcc"}, False),
    ],
)
def test_a_gpus_code_is_compiled_where_triton_and_a_c_compiler_are(
    monkeypatch: pytest.MonkeyPatch, has_triton: bool, compilers: set[str], expected: bool
) -> None:
    monkeypatch.setenv("CC", "my-compiler")
    monkeypatch.setattr(compilation, "find_spec", lambda _: object() if has_triton else None)
    monkeypatch.setattr(compilation.shutil, "which", lambda name: name if name in compilers else None)
    assert compilation.can_compile_for_gpu.__wrapped__() == expected
