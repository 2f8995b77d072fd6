"""What a site makes of a JPEG file before it stores it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.errors import FrappeError
from lineside.standin.filestore import without_exif

START, EXIF, TABLE, REST = b"\xff\xd8", b"\xff\xe1\0\x04Ex", b"\xff\xdb\0\x03q", b"\xff\xda\0\x02 \xff\xe1 \xff\xd9"


class WithoutExif(SynchronousTestCase):
    def test_the_notes_of_the_camera_go_and_nothing_else(self) -> None:
        """Wherever they stand before the pixels, however often."""
        for content in (START + EXIF + TABLE + REST, START + TABLE + EXIF + EXIF + REST, START + TABLE + REST):
            self.assertEqual(without_exif(content), START + TABLE + REST)

    def test_what_is_cut_short_stays_as_far_as_it_goes(self) -> None:
        """No end is waited for."""
        for content in (START, START + b"\xff", START + TABLE[:4], START + EXIF[:3]):
            self.assertEqual(without_exif(content), content)
        self.assertEqual(without_exif(START + EXIF[:5]), START)

    def test_what_is_no_jpeg_is_refused(self) -> None:
        """As Frappe fails over it."""
        with self.assertRaises(FrappeError) as caught:
            without_exif(b"a text")
        self.assertEqual((caught.exception.exc_type, caught.exception.status), ("UnidentifiedImageError", 500))
