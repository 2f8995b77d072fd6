"""``[targets.NAME]`` with ``type = "frappe"``: a Frappe site that takes documents."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from lineside.assemble.askingtable import AskingTable
from lineside.assemble.values import (
    Authorities,
    Duration,
    SecretText,
    Shape,
    SiteUrl,
    TimeZone,
)


class FrappeTargetSettings(AskingTable):
    """``[targets.NAME]`` with ``type = "frappe"``: a Frappe or ERPNext site that takes documents."""

    type: Literal["frappe"] = Field(description="The kind of target.")
    url: SiteUrl = Field(
        description=(
            "The site's address, without credentials; or that of a service, `srv+https://_erp._tcp.plant.example`, "
            "whose SRV records name the servers of one site."
        )
    )
    host: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9.-]*$"), Shape("host name")] | None = Field(
        default=None,
        description=(
            "With `srv+`: the site's name, which requests bear and which its certificate must have, whichever "
            "server answers. Default: the service's domain, such as `plant.example`."
        ),
    )
    api_key: SecretText = Field(description="The API key of the user who is to own the documents.")
    api_secret: SecretText = Field(description="That user's API secret.")
    ca: Authorities | None = Field(
        default=None,
        description=(
            "The certificate of your own CA, where it signed the site's; it alone is trusted then. It is read "
            "at the start, and must hold one that is valid. Default: the CAs that the operating system trusts."
        ),
    )
    site: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The site's name, sent as `X-Frappe-Site-Name`. Default: the address's host tells the site.",
    )
    id_field: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), Shape("field name")] = Field(
        default="lineside_id",
        description=(
            "The unique custom field that makes delivery exactly-once. `lineside erp prepare` adds it to a DocType."
        ),
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Deliveries under way at a time, over all routes.")
    timeout: Duration = Field(
        default=30.0, gt=0, description="How long one request may take before its outcome is taken as unknown."
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description=(
            "The zone in which the site keeps its times, for a site that does not tell it (v14). "
            "Default: what the site says; UTC where it says nothing."
        ),
    )

    @field_validator("host")
    @classmethod
    def _of_a_service(cls, host: str | None, info: ValidationInfo) -> str | None:
        url = info.data.get("url")
        if host is not None and url is not None and not url.startswith("srv+"):
            raise ValueError("only the name of a service does not say it; remove it, or set url to srv+https://...")
        return host

    @property
    def service(self) -> str | None:
        """The name of the service that tells the servers; None where ``url`` names the one."""
        return urlsplit(self.url).hostname if self.url.startswith("srv+") else None

    @property
    def address(self) -> str:
        """The site's address, as its requests and its certificate have it."""
        service = self.service
        if service is None:
            return self.url
        url = urlsplit(self.url)
        host = self.host or service.split(".", 2)[2].rstrip(".")
        return f"{url.scheme.removeprefix('srv+')}://{host}{url.path}"
