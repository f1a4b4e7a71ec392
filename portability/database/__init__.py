"""The control database: connections, tables, migrations, and the facts that the deployment stores about itself."""
