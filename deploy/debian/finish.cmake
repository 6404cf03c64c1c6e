# What debhelper would do to the staged files, by cpack before it packs them.
set(root ${CPACK_TEMPORARY_DIRECTORY})

function(in_root)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${root} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

in_root(strip --strip-unneeded --remove-section=.comment --remove-section=.note usr/bin/penstock)
# -n: the time in the archive would be that of the build.
in_root(gzip -9n usr/share/man/man5/penstock.yaml.5 usr/share/man/man8/penstock.8
        usr/share/doc/penstock/changelog usr/share/doc/penstock/changelog.Debian)
in_root(find . -type d -exec chmod 0755 {} +)
in_root(find . -type f -exec chmod u=rwX,go=rX {} +)
in_root(find . -newermt @$ENV{SOURCE_DATE_EPOCH} -exec touch --no-dereference -d @$ENV{SOURCE_DATE_EPOCH} {} +)
