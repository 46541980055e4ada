"""The files of `prompts/`, as tests read them."""

from benchgate.gate.blocks import folder


def sources() -> dict[str, str]:
    """Every file of `prompts/` that is a template, by its path in there."""
    parts = [("", folder())] + [(f"{name}/", folder() / name) for name in ("blocks", "guides")]
    return {
        prefix + file.name: file.read_text(encoding="utf-8")
        for prefix, directory in parts
        for file in directory.iterdir()
        if file.name.endswith(".md")
    }
