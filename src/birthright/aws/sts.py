"""Who is calling, as STS says."""

import msgspec

from birthright.aws.identifiers import parse_arn
from birthright.aws.query_client import QueryClient
from birthright.errors import AnswerError


class Caller(msgspec.Struct, frozen=True):
    """Whose credentials a call was made with: what GetCallerIdentity says."""

    account_id: str
    partition: str
    arn: str


def caller_of(arn: str) -> Caller:
    """Read the ARN that GetCallerIdentity returns. Raises AnswerError."""
    found = parse_arn(arn)
    if found is None:
        raise AnswerError(f"GetCallerIdentity: {arn[:100]!r} names no account")
    return Caller(found.account_id, found.partition, arn)


async def get_caller(sts: QueryClient) -> Caller:
    """Call GetCallerIdentity. It needs no permission. Raises ReadError."""
    arn = (await sts.call("GetCallerIdentity")).findtext("Arn")
    if not arn:
        raise AnswerError("the answer lacks Arn")
    return caller_of(arn)
