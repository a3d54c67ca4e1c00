"""Data carried by the package; ``README.md`` beside it names source, licence and changes."""
