"""Pictures with Content Credentials: signed by a throw-away certificate, as cameras and generators do."""

import datetime
import functools
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EMAIL, CLAIMS = "1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.62558.2.1"  # purposes of a certificate: the latter is C2PA's own
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "trust": {"trust_config": f"{EMAIL}\n{CLAIMS}"}}


@dataclass(frozen=True)
class Signatory:
    """A certificate with its chain, its key, and the root that vouches for it; all PEM texts."""

    chain: str
    key: str
    root: str


@functools.cache
def signatory(organisation: str = "Acme", days_left: float = 30, ocsp: str = "", purpose: str = EMAIL) -> Signatory:
    """Return a new signer of this name; its certificate ends in ``days_left`` and is for ``purpose``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

    now, keys = (
        datetime.datetime.now(datetime.UTC),
        [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)],
    )

    def made(subject: str, number: int, days: float, *extensions: tuple[Any, bool]):
        names = [
            x509.Name(
                [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one), x509.NameAttribute(NameOID.COMMON_NAME, one)]
            )
            for one in (subject, "Root of trust")
        ]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
        builder = builder.public_key(keys[number].public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(90))
        builder = builder.not_valid_after(now + datetime.timedelta(days))
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        own = x509.SubjectKeyIdentifier.from_public_key(keys[number].public_key())
        for extension, critical in (*extensions, (authority, False), (own, False)):
            builder = builder.add_extension(extension, critical)
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def usage(*allowed: str) -> tuple[Any, bool]:
        kinds = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
        kinds += "crl_sign encipher_only decipher_only"
        return x509.KeyUsage(**{kind: kind in allowed for kind in kinds.split()}), True

    root = made("Root of trust", 0, 365, (x509.BasicConstraints(True, None), True), usage("key_cert_sign", "crl_sign"))
    more = [(x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)]), False)]
    if ocsp:
        place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp))
        more.append((x509.AuthorityInformationAccess([place]), False))
    leaf = made(
        organisation, 1, days_left, (x509.BasicConstraints(False, None), True), usage("digital_signature"), *more
    )
    form = serialization.PrivateFormat.PKCS8
    key = keys[1].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return Signatory(leaf + root, key, root)


def encoded(kind: str = "JPEG", side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def made(source: str, action: str = "c2pa.created", **more: Any) -> dict[str, Any]:
    """Return an action with IPTC's code of a digital source type."""
    return {"action": action, **({"digitalSourceType": IPTC + source} if source else {}), **more}


def signed(
    raw: bytes,
    *actions: dict[str, Any],
    signer: Signatory | None = None,
    kind: str = "JPEG",
    program: str = "Firefly",
    edit: bool = False,
    remote: str = "",
) -> bytes:
    """Return the picture with a manifest of these actions; ``edit``: of a program that began from the picture."""
    import c2pa

    signer = signer or signatory()
    info = c2pa.C2paSignerInfo(b"es256", signer.chain.encode(), signer.key.encode(), None)
    manifest = {
        "claim_generator_info": [{"name": program}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}],
    }
    written = io.BytesIO()
    with c2pa.Context.from_dict(SETTINGS) as context, c2pa.Builder(manifest, context=context) as builder:
        if edit:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        if remote:
            builder.set_remote_url(remote)
        builder.sign(c2pa.Signer.from_info(info), MIME[kind], io.BytesIO(raw), written)
    return written.getvalue()
