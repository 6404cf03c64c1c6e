// What an app's environment has to say so that its requests come to a listener, in the words of
// whoever starts the app: a shell, systemd, Compose, Kubernetes, Java.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/settings.h"

namespace penstock {

enum class EnvFormat { kSh, kFish, kSystemd, kCompose, kKubernetes, kJava };
inline constexpr std::string_view kEnvFormats = "sh, fish, systemd, compose, kubernetes, java";
std::optional<EnvFormat> env_format(std::string_view name);

// host:port of the listener that http_proxy is to name: the one with this address, or for an empty
// `address` the first that can be named so. The error says which listeners there are.
Result<std::string, std::string> proxy_authority(const Config& config, std::string_view address);

// Ends with a line end; `authority` is what proxy_authority() gave.
std::string environment_text(EnvFormat format, std::string_view authority);

}  // namespace penstock
