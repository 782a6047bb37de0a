"""What STS is asked beside roles: who is asking."""

from birthright.aws.query_client import QueryClient
from birthright.errors import AnswerError


async def caller_arn(sts: QueryClient) -> str:
    """Ask who is asking: `arn:PARTITION:sts::ACCOUNT:...`. Needs no permission. Raises ReadError."""
    arn = (await sts.call("GetCallerIdentity")).findtext("Arn")
    if not arn:
        raise AnswerError("the answer lacks Arn")
    return arn
