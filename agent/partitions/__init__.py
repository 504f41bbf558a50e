"""Network partition resolution types."""
