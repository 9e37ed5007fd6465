"""What several plugins need. It imports core only; third parties may use it exactly as the built-in plugins do."""
