"""The names by which models and texts know what this server offers: the one list of them.

Prompts and blocks get every name from here, so that none can name what does not exist.
"""

from enum import StrEnum


class ToolName(StrEnum):
    """The tools, in the order in which they are listed."""

    PREFLIGHT = "preflight"
    LIST_TEMPLATES = "list_templates"
    LIST_CONNECTIONS = "list_connections"
    CREATE_RUN = "create_run"
    START_RUN = "start_run"
    GET_STATUS = "get_status"
    STOP_RUN = "stop_run"
    CREATE_COMPARISON = "create_comparison"
    START_COMPARISON = "start_comparison"
    GET_COMPARISON = "get_comparison"
    GET_RESULTS = "get_results"
    GET_ERRORS = "get_errors"


class GuideName(StrEnum):
    """The prompts, in the order in which they are listed."""

    EXECUTE_TEST = "execute_test"
    RUN_COMPARISON = "run_comparison"
    EXECUTION_MODE = "execution_mode"
    MONITOR_RUN = "monitor_run"
    STOP_TEST = "stop_test"
    TROUBLESHOOT_RUN = "troubleshoot_run"
    ANALYZE_RESULTS = "analyze_results"


UNKNOWN_COMPARISON_HINT = (
    f"Use an id that {ToolName.CREATE_COMPARISON} gave, on the backend that it was made for."
)
# The resources: one list, and what can be read of each run and template in it.
RUNS_URI = "benchgate://runs"
RUN_URI = "benchgate://runs/{run_id}"
SUMMARY_URI = "benchgate://runs/{run_id}/summary.csv"
SERIES_URI = "benchgate://runs/{run_id}/series.csv"
RESULTS_URI = "benchgate://runs/{run_id}/results.json"
TEMPLATE_URI = "benchgate://templates/{template_id}"
UNKNOWN_RUN_HINT = f"The resource {RUNS_URI} lists the newest runs; use an id from there."
