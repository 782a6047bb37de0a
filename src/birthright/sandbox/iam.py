"""IAM's actions on users, their tags and passwords; keys are in `keys.py`, reports in `report.py`."""

from birthright.sandbox.account import Login, User
from birthright.sandbox.calls import (
    Call,
    invalid,
    named_or_calling_user,
    named_user,
    numbered,
    page,
    required,
    valid_name,
)
from birthright.sandbox.wire import AwsError, flag, instant, tag

_MAX_NEW_NAME = 64
_MAX_TAGS = 50


def list_users(call: Call) -> str:
    """ListUsers: by name, MaxItems 1 to 1000 (100), under PathPrefix."""
    users, prefix = call.account.users, call.params.get("PathPrefix", "/")
    names = call.account.names()
    if prefix != "/":
        names = [name for name in names if users[name].path.startswith(prefix)]
    chosen, more = page(call, names)
    members = "".join(f"<member>{_user(users[name])}</member>" for name in chosen)
    return f"<Users>{members}</Users>{more}"


def get_user(call: Call) -> str:
    """GetUser: the user named, or the caller."""
    user = named_or_calling_user(call)
    return f"<User>{_user(user)}{_tags(user)}</User>"


def create_user(call: Call) -> str:
    """CreateUser: names are unique in an account without regard to case."""
    name, path = valid_name(call), call.params.get("Path", "/")
    if len(name) > _MAX_NEW_NAME or not (path.startswith("/") and path.endswith("/")):
        raise invalid("'userName' or 'path' failed to satisfy constraint")
    if call.account.has(name):
        raise AwsError(409, "EntityAlreadyExists", f"User with name {name} already exists.")
    user = call.account.add_user(name, call.second, path)
    user.tags.update(_read_tags(call))
    call.effect = ("user-created", name)
    return f"<User>{_user(user)}{_tags(user)}</User>"


def delete_user(call: Call) -> None:
    """DeleteUser: refused while the user still has keys, certificates or a password."""
    user = named_user(call)
    left = {"access keys": user.keys, "certificates": user.certificates, "login profile": user.login}
    for what, there in left.items():
        if there:
            message = f"Cannot delete entity, must delete {what} first."
            raise AwsError(409, "DeleteConflict", message)
    call.account.remove_user(user)
    call.effect = ("user-deleted", user.name)


def create_login_profile(call: Call) -> str:
    """CreateLoginProfile: gives the user a console password."""
    user = named_user(call)
    if user.login is not None:
        message = f"Login Profile for user {user.name} already exists."
        raise AwsError(409, "EntityAlreadyExists", message)
    required(call, "Password")
    user.login = Login(call.second)
    call.effect = ("password-set", user.name)
    reset = flag("PasswordResetRequired", call.params.get("PasswordResetRequired") == "true")
    created = tag("CreateDate", instant(user.login.created_at))
    return f"<LoginProfile>{tag('UserName', user.name)}{created}{reset}</LoginProfile>"


def delete_login_profile(call: Call) -> None:
    """DeleteLoginProfile: takes the console password away."""
    user = named_user(call)
    if user.login is None:
        message = f"Login Profile for User {user.name} cannot be found."
        raise AwsError(404, "NoSuchEntity", message)
    user.login = None
    call.effect = ("password-removed", user.name)


def list_user_tags(call: Call) -> str:
    """ListUserTags: by tag key, in pages."""
    user = named_user(call)
    chosen, more = page(call, sorted(user.tags))
    members = "".join(f"<member>{_tag(name, user.tags[name])}</member>" for name in chosen)
    return f"<Tags>{members}</Tags>{more}"


def tag_user(call: Call) -> None:
    """TagUser: adds or overwrites, at most 50 tags."""
    user, new = named_user(call), _read_tags(call)
    if len(user.tags.keys() | new.keys()) > _MAX_TAGS:
        raise AwsError(409, "LimitExceeded", f"Cannot exceed quota for TagsPerUser: {_MAX_TAGS}")
    user.tags.update(new)
    call.effect = ("tagged", user.name, *new)


def untag_user(call: Call) -> None:
    """UntagUser: tag keys that are not there are no error."""
    user = named_user(call)
    gone = [name for name in numbered(call, "TagKeys") if user.tags.pop(name, None) is not None]
    if gone:
        call.effect = ("untagged", user.name, *gone)


def _user(user: User) -> str:
    used = user.login.last_used_at if user.login else None
    last = tag("PasswordLastUsed", instant(used)) if used else ""
    name = "" if user.is_root else tag("UserName", user.name)
    return (
        f"<Path>{user.path}</Path>{name}<UserId>{user.user_id}</UserId>"
        f"{tag('Arn', user.arn)}<CreateDate>{instant(user.created_at)}</CreateDate>{last}"
    )


def _tags(user: User) -> str:
    if not user.tags:
        return ""
    members = "".join(f"<member>{_tag(*item)}</member>" for item in sorted(user.tags.items()))
    return f"<Tags>{members}</Tags>"


def _tag(name: str, value: str) -> str:
    return tag("Key", name) + tag("Value", value)


def _read_tags(call: Call) -> dict[str, str]:
    names, values = numbered(call, "Tags.*.Key"), numbered(call, "Tags.*.Value")
    if len(names) != len(values):
        raise invalid("Value at 'tags' must hold a key and a value each")
    return dict(zip(names, values, strict=True))
