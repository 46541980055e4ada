"""What FlakeBench says, turned into values that know no dialect."""
