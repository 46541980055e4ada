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
    GET_RESULTS = "get_results"
    GET_ERRORS = "get_errors"


class GuideName(StrEnum):
    """The prompts, in the order in which they are listed."""

    EXECUTE_TEST = "execute_test"
    EXECUTION_MODE = "execution_mode"
    MONITOR_RUN = "monitor_run"
    STOP_TEST = "stop_test"
    TROUBLESHOOT_RUN = "troubleshoot_run"
    ANALYZE_RESULTS = "analyze_results"


SUMMARY_URI = "benchgate://runs/{run_id}/summary.csv"
SERIES_URI = "benchgate://runs/{run_id}/series.csv"
