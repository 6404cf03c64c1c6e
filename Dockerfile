# The image: the daemon and the libraries it needs, run by nobody in particular, on a root that may
# be read-only. Builds alike with docker, podman and buildah; tests/packaging/image.sh tries it.
#
#   docker build -t penstock .
#   docker run --read-only -p 127.0.0.1:3128:3128 penstock
#
# Another configuration goes over /etc/penstock/penstock.yaml. Ending takes as long as
# shutdown.grace says: docker stop -t 30.

FROM debian:12-slim AS build
WORKDIR /src
COPY deploy/packages.sh deploy/packages.txt deploy/
RUN deploy/packages.sh --install build
COPY . .
RUN cmake --preset release \
 && cmake --build build/release --target penstock \
 && install -D --strip build/release/penstock /out/penstock

FROM debian:12-slim
RUN --mount=type=bind,source=deploy,target=/deploy \
    /deploy/packages.sh --install runtime \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/apt /var/log/dpkg.log
COPY --from=build /out/penstock /usr/bin/penstock
COPY config/container.yaml /etc/penstock/penstock.yaml
USER 65532:65532
# The proxy; the probes and metrics.
EXPOSE 3128 9129
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/bin/penstock", "probe"]
ENTRYPOINT ["/usr/bin/penstock"]
CMD ["run"]
