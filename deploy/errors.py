"""What a person must mend before a deployment can go on."""


class DeployError(Exception):
    """Its text says what was expected, what was found, and what to do next."""
