# One image for each program: docker build --target vaultproxy .
#
# Each holds a static binary, the certificate authorities and nothing else: no
# shell, no package manager, no root. Health is asked by the program itself.

FROM --platform=$BUILDPLATFORM golang:1.26.8-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /out/ \
      ./worker ./starter ./vaultproxy/cmd/vaultproxy ./vendorsim/cmd/vendorsim && \
    mkdir /empty

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chmod=1777 /empty /tmp
USER 65532:65532

FROM base AS vaultproxy
COPY --from=build /out/vaultproxy /vaultproxy
# A named volume takes over the owner of the directory it is first mounted on.
COPY --from=build --chown=65532:65532 --chmod=700 /empty /var/lib/tollgate
VOLUME /var/lib/tollgate
EXPOSE 8787 8788
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
    CMD ["/vaultproxy", "health", "--url", "http://127.0.0.1:8788/readyz"]
ENTRYPOINT ["/vaultproxy"]
CMD ["serve", "--data-addr", "0.0.0.0:8787", "--control-addr", "0.0.0.0:8788", "--state-dir", "/var/lib/tollgate"]

FROM base AS worker
COPY --from=build /out/worker /worker
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s \
    CMD ["/worker", "health"]
ENTRYPOINT ["/worker"]

FROM base AS starter
COPY --from=build /out/starter /starter
# Ends when its command has ended, so there is nothing to watch.
HEALTHCHECK NONE
ENTRYPOINT ["/starter"]

FROM base AS vendorsim
COPY --from=build /out/vendorsim /vendorsim
EXPOSE 12111
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s \
    CMD ["/vendorsim", "--healthcheck", "http://127.0.0.1:12111/healthz"]
ENTRYPOINT ["/vendorsim"]
CMD ["--addr", "0.0.0.0:12111"]
