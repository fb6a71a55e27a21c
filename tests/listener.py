"""Answers every TCP connection and notes every datagram; a nameserver besides, for one name.

    python listener.py PORT FILE [NAMESERVER ADDRESS]

It stands in a file of its own to run where only the standard library is.
"""

import socket
import sys
import threading

NAME_TYPE_A = b"\x00\x01"


def answer_connections(port):
    with socket.create_server(
        ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512
    ) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"here")


def note_datagrams(port, file):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", port))
        with open(file, "ab", buffering=0) as heard:
            while True:
                heard.write(server.recv(1000) + b"\n")


def answer_names(nameserver, address):
    """Say of every name that it is at the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((nameserver, 53))
        while True:
            question, sender = server.recvfrom(1000)
            end = question.index(b"\0", 12) + 5
            asked = question[12:end]
            found = b""
            if asked[-4:-2] == NAME_TYPE_A:
                found = b"\xc0\x0c" + asked[-4:] + b"\0\0\0\x3c\0\x04" + socket.inet_aton(address)
            count = b"\0\x01" if found else b"\0\0"
            header = question[:2] + b"\x81\x80" + b"\0\x01" + count + b"\0\0\0\0"
            server.sendto(header + asked + found, sender)


if __name__ == "__main__":
    port, file, *names = sys.argv[1:]
    threading.Thread(target=answer_connections, args=(int(port),)).start()
    threading.Thread(target=note_datagrams, args=(int(port), file)).start()
    if names:
        answer_names(*names)
