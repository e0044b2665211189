"""Real tables: predictions against linear models, forests and a plain network."""
