"""What clients are told of agents: the types of the contract's objects.

Each is what one function builds; ``trinity.schema`` makes the OpenAPI document of them.
"""
