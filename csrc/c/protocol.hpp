// fastcam_protocol   what the C interface hides: a Protocol
#pragma once

#include "c/fastcam.h"
#include "core/protocol.hpp"

struct fastcam_protocol {
  fastcam::Protocol fields;
};
