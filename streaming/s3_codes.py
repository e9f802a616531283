"""What S3 and AWS answer with, by their codes: for the job's client and for the Lambdas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed"})
"""No such object or version; 405: the version is a delete marker."""
UNMET = frozenset({"412", "PreconditionFailed"})
"""The condition of the request does not hold: something has the key, or another version is there."""
BUSY = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
"""Two conditional requests met."""
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
DENIED = frozenset({"403", "AccessDenied"})
REFUSED_ALL = frozenset({"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed"})
REFUSED_ALL |= {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled", "AccountProblem"}
REFUSED_ALL |= {"ResourceNotFoundException", "AccessDeniedException", "InvalidClientTokenId"}
REFUSED_ALL |= {"UnrecognizedClientException"}
"""Whoever asks, or the bucket, is refused, and no object in particular."""
NOT_THIS_STORAGE = frozenset({"405", "501", "MethodNotAllowed", "NotImplemented"})
"""Of a listing: the storage does not know this request."""


def code_of(error: ClientError) -> str:
    """AWS's word for what went wrong."""
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """HTTP's number for it, 0 if there is none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
