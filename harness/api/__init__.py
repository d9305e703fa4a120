"""What `import harness` offers besides the vocabulary of plugins: runs, results, tables and clocks from Python."""
