"""E-mail, through the city's SMTP server."""

from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

import aiosmtplib

from civium.alarms.delivery import Message, NotDelivered
from civium.engines.settings import Alarms, address


class MailSender:
    """Sends one message a person; ``[alarms]`` says through which server."""

    def __init__(self, settings: Alarms) -> None:
        self._settings = settings

    async def send(self, way: str, message: Message) -> None:
        """Mail to ``mailto:PERSON@HOST``."""
        settings = self._settings
        if not settings.smtp:
            raise NotDelivered("mail: set alarms.smtp to the mail server, as host:port")
        mail = EmailMessage()
        mail["From"], mail["To"] = settings.sender, way.removeprefix("mailto:")
        mail["Subject"], mail["Date"], mail["Message-ID"] = message.subject, formatdate(), make_msgid(domain="civium")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        host, port = address(settings.smtp)
        login: dict[str, Any] = {}
        if settings.smtp_user:
            login = {"username": settings.smtp_user, "password": settings.smtp_password}
        try:
            await aiosmtplib.send(
                mail,
                hostname=host,
                port=port,
                use_tls=settings.smtp_tls == "tls",
                start_tls=settings.smtp_tls == "starttls",
                timeout=10.0,
                **login,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(f"mail: {settings.smtp} did not take it ({type(error).__name__}: {error})") from None

    async def close(self) -> None:
        """Nothing is kept open."""
