"""The vocabulary that both halves share: values, state tables and rules; no input or output."""
