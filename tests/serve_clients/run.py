"""Real clients against a server of small models: `python -m tests.serve_clients.run CLIENTS_BIN`.

The clients (requirements.txt) live in an environment of their own; `make test-serve` makes it. Schemathesis sends what
the OpenAPI document allows and what it does not, and finds answers that the document does not have.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.serve.models import make_models, serving

HERE = Path(__file__).parent

# Examples that Schemathesis makes for each route.
EXAMPLES = 30


def main(clients: Path) -> int:
    """Run every client; the exit code is that of the first that fails."""
    with tempfile.TemporaryDirectory() as folder, serving(make_models(Path(folder))) as server:
        config = f"--config-file={HERE / 'schemathesis.toml'}"
        document = f"{server.url}/openapi.json"
        commands = (
            [clients / "python", HERE / "openai_client.py", server.url],
            [clients / "schemathesis", config, "run", document, f"--max-examples={EXAMPLES}", "--seed=1"],
        )
        for command in commands:
            if code := subprocess.run(command, cwd=folder, check=False).returncode:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
