"""Reads mails (each behind a line with its size) with Python's parser, checks their parts, and prints a JSON line for each."""
import email, email.policy, html.parser, json, sys


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "background", "srcset")]

    def handle_data(self, data):
        self.text.append(data)


def read(raw):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert not mail.defects, mail.defects
    for part in mail.walk():
        assert not part.defects, part.defects
    assert mail["Auto-Submitted"] == "auto-generated" and mail["X-Auto-Response-Suppress"] == "All", mail.items()
    assert mail["List-Id"] and mail["Date"].datetime and mail["From"].addresses and mail["To"].addresses
    assert mail.get_content_type() == "multipart/alternative", mail.get_content_type()
    text, page = mail.iter_parts()
    assert text.get_content_type() == "text/plain" and text.get_content_charset() == "utf-8"
    pictures = {}
    if page.get_content_type() == "multipart/related":
        page, *rest = page.iter_parts()
        pictures = {part["Content-ID"].strip("<>"): part for part in rest}
    assert page.get_content_type() == "text/html" and page.get_content_charset() == "utf-8"
    parser = Page()
    content = page.get_content().replace("\r\n", "\n")
    parser.feed(content)
    asked = [source.removeprefix("cid:") for source in parser.sources]
    # Nothing is fetched: what the page shows is in the mail, and nothing is in the mail that it does not show.
    assert sorted(asked) == sorted(pictures), (asked, list(pictures))
    for part in pictures.values():
        assert part.get_content_type() == "image/png" and part.get_content().startswith(b"\x89PNG\r\n\x1a\n")
        assert part.get_content_disposition() == "inline"
    names = ["Date", "From", "To", "Subject", "In-Reply-To", "References", "Auto-Submitted", "List-Id"]
    names += [name for name in mail.keys() if name.startswith("X-")]
    head = "\n".join(f"{name}: {mail[name]}" for name in names if mail[name])
    kinds = [part.get_content_type() for part in mail.walk()]
    return dict(head=head + "\nParts: " + " ".join(kinds) + "\n", subject=mail["Subject"], message_id=mail["Message-ID"],
                bcc=mail["Bcc"], text=text.get_content().replace("\r\n", "\n"), html=content, tags=parser.tags)


stream = sys.stdin.buffer
while line := stream.readline():
    print(json.dumps(read(stream.read(int(line)))))
