"""What the container starts; installed as ``/opt/trinity/__main__.py``.

``python3 -I /opt/trinity`` finds the server there and nothing elsewhere: with
``-m`` the interpreter would first look for modules in the working directory and
in the user's site-packages, both of which the agent can write.
"""

import runpy

runpy.run_module("agent_server", run_name="__main__", alter_sys=True)
