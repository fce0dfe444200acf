//! What happens inside a cell: limits, traps, output, files.
