# Lets the program write its man page and completions where an installation has them.
#
#   cmake -D PROGRAM=.../gumbelspec -D FOLDER=.../share -P GumbelspecManual.cmake
function(print_docs kind file)
  execute_process(COMMAND ${PROGRAM} print-docs ${kind}
    OUTPUT_VARIABLE text ERROR_VARIABLE error RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} print-docs ${kind} failed (${result}): ${error}")
  endif()
  file(WRITE ${FOLDER}/${file} "${text}")
endfunction()
print_docs(man man/man1/gumbelspec.1)
print_docs(bash bash-completion/completions/gumbelspec)
print_docs(zsh zsh/vendor-completions/_gumbelspec)
