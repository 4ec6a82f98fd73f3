"""Users: who may do what in a Redis of our own, with the rules of the deployment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.bus.acl import user_lines, users

OLDEST_WITH_USERS = (7, 2)
"""The oldest Redis that knows the rules of the deployment's users."""

OPERATOR, WORKER, GATEWAY, READER, CONSUMER = LOGINS = "operator", "worker", "gateway", "reader", "consumer"


@dataclass(frozen=True, slots=True)
class Users:
    """The users of one Redis, for keys that begin with `prefix`, and the password of each."""

    prefix: str
    passwords: Mapping[str, str] = field(repr=False)

    @classmethod
    def made(cls, prefix: str) -> Users:
        """Those of a new Redis: every password is random."""
        return cls(prefix, {user: secrets.token_urlsafe() for user in LOGINS})

    @classmethod
    def of_environment(cls, prefix: str, environment: Mapping[str, str]) -> Users | None:
        """Those whose passwords are in `environment`; None where one is missing."""
        found = {user: environment.get(variable(user)) for user in LOGINS}
        passwords = {user: password for user, password in found.items() if password}
        return cls(prefix, passwords) if passwords.keys() == found.keys() else None

    @property
    def environment(self) -> dict[str, str]:
        """What `of_environment` reads. Other users of the machine can list command lines, but not read this."""
        return {variable(user): password for user, password in self.passwords.items()}

    @property
    def configuration(self) -> str:
        """What a server is configured with. It holds hashes of the passwords only."""
        return user_lines(users(self.prefix), self.passwords)


def variable(user: str) -> str:
    """The environment variable with the password of `user`, as `coinwire credentials` names it."""
    return f"REDIS_{user.upper()}_PASSWORD"
