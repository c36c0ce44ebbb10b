"""TLS of the server: gRPC's credentials, which follow the certificate in use."""

from __future__ import annotations

import time

import grpc

from service.certificates import Certificates, Identity
from service.config import TlsLimits
from service.engine.pool import Pool


class ServerTls:
    """Credentials whose new connections get the certificate in use; old connections go on."""

    def __init__(self, certificates: Certificates, limits: TlsLimits) -> None:
        self._certificates = certificates
        self._limits = limits
        self._looked_s = time.monotonic()
        self._given = certificates.used

    def credentials(self) -> grpc.ServerCredentials:
        """The credentials of a listener; a client CA makes clients show a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._given), self._fetch, self._given.client_ca is not None
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The new certificate, or None; called in gRPC's own thread before each handshake."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= self._limits.handshake_check_s:
            self._looked_s = now_s
            self._certificates.look()
        used = self._certificates.used
        if used is self._given:
            return None
        self._given = used
        return _configuration(used)

    def warn(self) -> None:
        """Reports a certificate that ends soon, or has ended."""
        self._certificates.warn(self._limits.expiry_alarm_s, self._limits.expiry_again_s)

    async def watch(self, pool: Pool) -> bool:
        """Looks at the files and at the certificate's end; returns False: no work is left."""
        await pool.run(self._certificates.look)
        self.warn()
        return False


def _configuration(it: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(it.key, it.certificate)], it.client_ca)
