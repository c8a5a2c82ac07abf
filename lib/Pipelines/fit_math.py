#!/usr/bin/env python3
"""Makes MathTables.inc: the polynomials of MathFunctions.cpp, for f32 and f64.

Each is the polynomial of the given degree through a function's values at the
Chebyshev nodes of an interval, which is within a small factor of the best one.
Needs mpmath: lib/Pipelines/fit_math.py > lib/Pipelines/MathTables.inc
"""

import mpmath as mp

mp.mp.dps = 60


def interpolate(f, low, high, degree):
    """Coefficients, lowest first."""
    n = degree + 1
    nodes = [mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    middle, half = (mp.mpf(low) + high) / 2, (mp.mpf(high) - low) / 2
    values = [f(middle + half * x) for x in nodes]
    chebyshev = [mp.mpf(2) / n * sum(v * mp.cos(j * mp.pi * (2 * k + 1) / (2 * n)) for k, v in enumerate(values)) for j in range(n)]
    chebyshev[0] /= 2
    # Sums of T_j(t), t = (x - middle) / half, as powers of x.
    t = [-middle / half, 1 / half]

    def times(a, b):
        out = [mp.mpf(0)] * (len(a) + len(b) - 1)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                out[i + j] += x * y
        return out

    def plus(a, b, factor=1):
        size = max(len(a), len(b))
        return [(a[i] if i < len(a) else 0) + factor * (b[i] if i < len(b) else 0) for i in range(size)]

    before, now, total = [mp.mpf(1)], t, [chebyshev[0]]
    for c in chebyshev[1:]:
        total = plus(total, now, c)
        before, now = now, plus([2 * x for x in times(t, now)], before, -1)
    return total


def error(f, coefficients, low, high, weight):
    return max(abs((mp.polyval(coefficients[::-1], x) - f(x)) * weight(x)) for x in mp.linspace(low + mp.mpf(10) ** -12, high, 400))




def series(name, f, low, high, degrees, weight=lambda x: 1):
    for kind, degree in zip(("32", "64"), degrees):
        c = interpolate(f, low, high, degree)
        print(f"// off by {mp.nstr(error(f, c, low, high, weight), 2)}")
        print(f"static constexpr double {name}{kind}[] = {{")
        print(",\n".join("    " + mp.nstr(x, 20) for x in c) + "};")


def split(x, *bits):
    """x as a sum: heads of so many bits, then the rest."""
    parts = []
    for b in bits:
        scale = mp.mpf(2) ** (b - 1 - int(mp.floor(mp.log(abs(x), 2))))
        head = mp.nint(x * scale) / scale
        parts.append(head)
        x -= head
    return parts + [x]


def parts(name, values):
    print(f"static constexpr double {name}[] = {{" + ", ".join(mp.nstr(v, 20) for v in values) + "};")


def erfcx(x):
    return mp.exp(x * x) * mp.erfc(x)


def main():
    ln2, quarter = mp.log(2), mp.pi / 4
    print("// Made by fit_math.py; do not edit.")
    # exp(r) = 1 + r + r^2 P(r)
    series("kExp", lambda r: (mp.expm1(r) - r) / r**2 if abs(r) > 1e-20 else mp.mpf(1) / 2,
           -ln2 / 2 - 0.001, ln2 / 2 + 0.001, (4, 10), lambda r: r * r)
    # log((1 + s) / (1 - s)) = 2 s + s z P(z), z = s^2
    s2 = (mp.sqrt(2) - 1) ** 2 / (mp.sqrt(2) + 1) ** 2 * mp.mpf("1.001")
    series("kLog", lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, 0, s2, (3, 7), lambda z: z)
    # sin(r) = r + r z P(z), cos(r) = 1 - z / 2 + z^2 P(z)
    z = (quarter + mp.mpf("0.001")) ** 2
    series("kSin", lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, 0, z, (3, 6), lambda z: z)
    series("kCos", lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, 0, z, (2, 5), lambda z: z * z)
    # atan(t) = t + t z P(z), |t| <= tan(pi / 8)
    series("kAtan", lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, 0, (mp.sqrt(2) - 1) ** 2 * mp.mpf("1.001"), (4, 11), lambda z: z)
    # asin(s) = s + s z P(z), |s| <= 1/2
    series("kAsin", lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, 0, mp.mpf("0.2501"), (5, 12), lambda z: z)
    # erf(x) = x P(x^2), |x| <= 1
    series("kErf", lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z), 0, 1, (7, 12))
    # exp(x^2) erfc(x) = P((x - 4) / (x + 4)), 1 <= x <= 6.5
    series("kErfcx", lambda t: erfcx(4 * (1 + t) / (1 - t)), mp.mpf(1 - 4) / 5, mp.mpf("2.5") / mp.mpf("10.5"), (9, 17))
    parts("kLn2_32", split(ln2, 15))
    parts("kLn2_64", split(ln2, 42))
    parts("kHalfPi32", split(mp.pi / 2, 8, 8, 8, 8))
    parts("kHalfPi64", split(mp.pi / 2, 33, 33, 33))


main()
