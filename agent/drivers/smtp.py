"""Sends mail: by SMTP with encryption and authentication, or by this machine's mail command. Blocks; for threads."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

from agent.clpconf.alert_settings import Encryption, Mail, MailServer
from agent.ports import DriverError

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
_METHODS = ("CRAM-MD5", "PLAIN", "LOGIN")


def send(message: EmailMessage, settings: Mail, sendmail: Sequence[str] = SENDMAIL) -> None:
    """By the first server that takes it. DriverError names each that did not; nothing secret is in it."""
    if settings.by_command:
        _by_command(message, settings.timeout_s, sendmail)
        return
    failures = []
    for server in settings.servers:
        try:
            _by_server(message, server, settings)
            return
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            failures.append(f"{server.host} port {server.port}: {_why(error)}")
    raise DriverError(f"No mail server took the mail: {'; '.join(failures)}.")


def _by_server(message: EmailMessage, server: MailServer, settings: Mail) -> None:
    context = ssl.create_default_context()
    if settings.encryption == "auto":
        # Whoever does not demand encryption gets it where it is offered; a certificate nobody signed is as good then.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.encryption == "tls":
        link: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=settings.timeout_s, context=context)
    else:
        link = smtplib.SMTP(server.host, server.port, timeout=settings.timeout_s)
    with link:
        link.ehlo_or_helo_if_needed()
        encrypted = settings.encryption == "tls" or _start_tls(link, settings.encryption, context)
        if server.auth:
            _log_in(link, server, may_be_read=not encrypted and settings.encryption != "none")
        link.send_message(message, from_addr=server.sender or None, to_addrs=list(settings.to))


def _start_tls(link: smtplib.SMTP, encryption: Encryption, context: ssl.SSLContext) -> bool:
    if encryption == "none" or (encryption == "auto" and not link.has_extn("starttls")):
        return False
    link.starttls(context=context)
    link.ehlo()
    return True


def _log_in(link: smtplib.SMTP, server: MailServer, *, may_be_read: bool) -> None:
    offered = link.esmtp_features.get("auth", "").upper().split()
    if may_be_read and (server.method or "CRAM-MD5") != "CRAM-MD5":
        raise smtplib.SMTPException(
            "it offers no encryption, so the password was not sent (openclp/alerts/mailencryption)"
        )
    methods = [server.method] if server.method in _METHODS else [m for m in _METHODS if m in offered]
    if may_be_read:
        methods = [m for m in methods if m == "CRAM-MD5"]
    if not methods:
        raise smtplib.SMTPException("it offers no way of authentication that can be used")
    link.user, link.password = server.user, server.password
    code, reply = link.auth(methods[0], getattr(link, f"auth_{methods[0].lower().replace('-', '_')}"))
    if code not in (235, 503):
        raise smtplib.SMTPAuthenticationError(code, reply)


def _why(error: Exception) -> str:
    """One line; what a server says could quote what it was sent."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refused user name or password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refused all receivers ({', '.join(error.recipients)})"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {' '.join(text.split())[:200]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__


def _by_command(message: EmailMessage, timeout_s: float, programs: Sequence[str]) -> None:
    program = next((one for one in programs if Path(one).is_file()), None)
    if program is None:
        raise DriverError(f"There is no mail command ({programs[0]}). Install one, or let mail go by SMTP.")
    try:
        done = subprocess.run(
            (program, "-t", "-i"), input=message.as_bytes(), capture_output=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"{program} did not take the mail: {type(error).__name__}.") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise DriverError(f"{program} ended with {done.returncode}: {said or 'no reason given'}.")
