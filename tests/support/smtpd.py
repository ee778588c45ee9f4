"""A real SMTP server (aiosmtpd) on loopback: smtpd.py starttls|implicit PORT CERT KEY MAILDIR; user fleet, password right;
user busy is refused for now."""
import asyncio, mailbox, ssl, sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

mode, port, cert, key, folder = sys.argv[1:]
box = mailbox.Maildir(folder, create=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)


class Keep:
    async def handle_DATA(self, server, session, envelope):
        box.add(envelope.content)
        return "250 kept"


def check(server, session, envelope, mechanism, data):
    if data.login == b"busy":
        return AuthResult(success=False, handled=False, message="454 4.7.0 the user database is away")
    right = data.login == b"fleet" and data.password == b"right"
    return AuthResult(success=right, handled=right)


options = dict(authenticator=check, auth_required=True, auth_require_tls=mode == "starttls")
if mode == "starttls":
    options.update(tls_context=context, require_starttls=True)
    controller = Controller(Keep(), hostname="127.0.0.1", port=int(port), **options)
else:
    controller = Controller(Keep(), hostname="127.0.0.1", port=int(port), ssl_context=context, **options)
controller.start()
print("ready", flush=True)
sys.stdin.read()
