/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/output.h"
#include "tools/ctl/command.h"

int main(int argc, char **argv)
{
    return output_close("decidectl", ctl_main(argc, argv));
}
