"""What a person must mend before a deployment can go on."""


class DeployError(Exception):
    """Its text says what was expected, what is the case, and what to do next."""
