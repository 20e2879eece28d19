"""The one exception for mistakes that a person can mend."""


class InputError(ValueError):
    """Something given to us is wrong: a flag, a file, a line of a file.

    The message is one line. It names the file (and the line or record where there is one), says what is wrong and
    which flag to change. The command line prints it without a traceback and exits with code 2.
    """
