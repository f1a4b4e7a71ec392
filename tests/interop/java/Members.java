import java.io.BufferedInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/** java Members.java file|stream ZIP...: `sha256 bytes name` of every member, an empty line after each ZIP. */
class Members {
    private static final byte[] BUFFER = new byte[1 << 16];

    public static void main(String[] arguments) throws Exception {
        for (int i = 1; i < arguments.length; i++) {
            if (arguments[0].equals("stream")) {
                byLocalHeaders(arguments[i]);
            } else {
                byDirectory(arguments[i]);
            }
            System.out.println();
        }
    }

    private static void byLocalHeaders(String path) throws Exception {
        try (var zip = new ZipInputStream(new BufferedInputStream(new FileInputStream(path), 1 << 16))) {
            for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
                print(entry, zip);
                zip.closeEntry();
            }
        }
    }

    private static void byDirectory(String path) throws Exception {
        try (var zip = new ZipFile(path)) {
            for (var entries = zip.entries(); entries.hasMoreElements(); ) {
                ZipEntry entry = entries.nextElement();
                try (InputStream content = zip.getInputStream(entry)) {
                    long bytes = print(entry, content);
                    if (bytes != entry.getSize()) {
                        throw new Exception("the directory says " + entry.getSize() + " bytes of " + entry.getName());
                    }
                }
            }
        }
    }

    private static long print(ZipEntry entry, InputStream content) throws Exception {
        var digest = MessageDigest.getInstance("SHA-256");
        var hashed = new DigestInputStream(content, digest);
        long bytes = 0;
        for (int read; (read = hashed.read(BUFFER)) > 0; ) {
            bytes += read;
        }
        System.out.println(HexFormat.of().formatHex(digest.digest()) + " " + bytes + " " + entry.getName());
        return bytes;
    }
}
