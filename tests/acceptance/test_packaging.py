"""What somebody has who installs the wheel and has no checkout."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchgate.gate.names import GuideName, ToolName

ROOT = Path(__file__).parents[2]
INSTALL_SECONDS_MAX = 60

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; only its dependencies are lent by this one."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    subprocess.run(
        [*command, "--quiet", "--no-index", "--no-deps", str(wheel)],
        check=True,
        timeout=INSTALL_SECONDS_MAX,
    )
    # A path file lends this environment's packages, but not its own path files: what is installed
    # here from the checkout stays invisible there.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lent = folder / "lib" / version / "site-packages" / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_the_wheel_ships_every_prompt(wheel: Path) -> None:
    assert shipped(wheel, "benchgate/_prompts/") == files_below(ROOT / "prompts")


def test_the_wheel_ships_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "server" / "benchgate"
    names = shipped(wheel, "benchgate/")
    assert {name for name in names if not name.startswith("_prompts/")} == files_below(package)


def test_the_wheel_ships_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"benchgate"}


async def test_the_server_of_mcp_json_answers_from_an_installed_wheel(
    installation: Path, tmp_path: Path
) -> None:
    """The file that a user copies is the file that this test reads."""
    entry = json.loads((ROOT / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]["benchgate"]
    parameters = StdioServerParameters(
        command=entry["command"],
        args=entry["args"],
        cwd=tmp_path,
        env={"PATH": str(installation / "bin"), "BENCHGATE_DATA_DIR": str(tmp_path / "data")},
    )
    async with Client(stdio_client(parameters)) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        rules = await client.get_prompt("stop_test", {"run_id": "run-1"})
    assert tools == list(ToolName)
    assert prompts == list(GuideName)
    assert "run-1" in str(rules.messages)
    assert not (tmp_path / "data").exists()


def test_an_installed_wheel_knows_nothing_of_the_checkout(installation: Path) -> None:
    program = "import benchgate; print(benchgate.__file__)"
    done = subprocess.run(
        [str(installation / "bin" / "python"), "-I", "-c", program],
        cwd=installation,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert Path(done.stdout.strip()).is_relative_to(installation)


def shipped(wheel: Path, prefix: str) -> set[str]:
    with ZipFile(wheel) as archive:
        return {n.removeprefix(prefix) for n in archive.namelist() if n.startswith(prefix)}


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
