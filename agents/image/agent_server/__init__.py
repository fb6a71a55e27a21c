"""The main process of an agent's container; standard library only.

Imports are relative: the package is called ``agent_server`` in the image and
``agents.image.agent_server`` where the repository is checked.
"""
