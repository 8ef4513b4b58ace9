#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

// Functions with variable arguments cannot be called from Swift.

/// Serves on an IPv4 address (four bytes in network order) and port with a thread of its own; NULL where it cannot.
static inline struct MHD_Daemon *sluice_http_start(
    const uint8_t address[4], uint16_t port, unsigned int connections_max, unsigned int idle_seconds,
    MHD_AccessHandlerCallback handler, void *handler_argument) {
  struct sockaddr_in place;
  memset(&place, 0, sizeof place);
  place.sin_family = AF_INET;
  place.sin_port = htons(port);
  memcpy(&place.sin_addr, address, 4);
  return MHD_start_daemon(
      MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, port, NULL, NULL, handler, handler_argument,
      MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&place, MHD_OPTION_CONNECTION_LIMIT, connections_max,
      MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds, MHD_OPTION_END);
}

/// The port that a daemon serves on; 0 where it is not known.
static inline uint16_t sluice_http_port(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
  return info ? info->port : 0;
}
