"""What FlakeBench's refusals mean, for whoever reads them."""

OUTAGE = (
    "FlakeBench says that nothing at all exists, which it does while its own database, the "
    "Snowflake account behind it, cannot be reached. Or it is new, and nothing has been saved yet."
)
OUTAGE_HINT = "Check FlakeBench's connection to Snowflake; nothing is known to be lost."
BEING_COUNTED = "The run has ended, and what it did is being counted."
HALF_STARTED = (
    "FlakeBench refused the start after it had marked the run as starting{reason}. It will never "
    "load anything: stop the run, correct the template in FlakeBench, and create another run."
)
NO_POOLS = (
    "; most often the value pools that a HYBRID or INTERACTIVE table needs were never prepared"
)
